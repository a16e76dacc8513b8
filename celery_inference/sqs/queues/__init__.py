"""The lanes' queues: names and URLs, creating, checking, counting."""
