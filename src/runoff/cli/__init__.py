"""The `runoff` command: one file per sub-command."""
