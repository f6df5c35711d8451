"""What the state machines do around the components: begin, record, settle, sweep."""
