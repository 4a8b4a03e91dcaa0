"""The shipped command, as a process, with real devices, brokers and clients around it."""
