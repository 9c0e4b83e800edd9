"""Everything that turns records into what a page shows; torch is not known here."""
