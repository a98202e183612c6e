"""Many jobs: plan files and their points, design targets, sweeps on Dask workers."""
