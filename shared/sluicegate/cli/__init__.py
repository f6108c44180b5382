"""The command line: thin commands over the client, each module imported when its command runs."""
