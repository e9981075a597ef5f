"""Measure or estimate the energy of processors and their memory."""
