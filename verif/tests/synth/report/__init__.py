"""Tables, pictures and pages made of rows."""
