"""The black box: one file per worker process, in ``DIR/boxes``, that outlives the process."""
