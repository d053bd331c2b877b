"""Labels as teams have them: spreadsheets, several judges, texts in place of ids, clicks."""
