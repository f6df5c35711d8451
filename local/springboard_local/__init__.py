"""The local cloud: the AWS that Springboard uses, on loopback, with no account and no Docker."""
