"""The energy of processors and their memory."""
