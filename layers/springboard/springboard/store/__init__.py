"""The record in DynamoDB: one table, conditional writes, and an outbox that its stream reads."""
