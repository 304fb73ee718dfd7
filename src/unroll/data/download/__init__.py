"""The download stage: writes a Hub repository, a folder or files as raw parquet with a manifest."""
