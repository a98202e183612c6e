"""What golden takes for an array, and refuses; tests of torch itself are in verif/tests/torch."""
