"""Tests of the weight formats of AFPQ."""
