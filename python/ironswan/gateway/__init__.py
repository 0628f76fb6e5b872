"""The gateway process: the only place where the sans-IO engine, the data plane and the machine's network meet."""
