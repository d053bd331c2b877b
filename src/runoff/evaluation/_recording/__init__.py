"""Every query recorded: made by `record`, kept in memory or as Parquet."""
