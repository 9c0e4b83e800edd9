"""Questions with certain answers, and how well each signal tells right from wrong."""
