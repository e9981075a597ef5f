"""Energy and CO2 of every training epoch, beside its loss."""
