"""The command line: every command, its options, its errors, and the files it leaves."""
