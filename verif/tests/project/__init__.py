"""The project as a whole: documents, layers, setup, the wheel, the verification plan."""
