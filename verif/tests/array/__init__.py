"""dot and array as whole units: an array is dot products, so one suite serves both."""
