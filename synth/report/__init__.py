"""Results as tables, pictures and one web page. Reads rows; starts nothing."""
