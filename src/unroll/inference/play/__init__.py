"""The page of ``unroll play``: type a text, and see what one or two networks make of it."""
