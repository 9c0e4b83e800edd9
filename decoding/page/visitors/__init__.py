"""Who is decoding, who waits, and what each visitor asks."""
