"""The download stage: a Hub repository, a folder or column files, as raw parquet and a manifest."""
