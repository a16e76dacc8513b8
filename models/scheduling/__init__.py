"""Which pending requests form the next batch; in the parent."""
