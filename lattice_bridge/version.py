"""The version of lattice-bridge; the build reads it here."""

__version__ = "0.1.0"
