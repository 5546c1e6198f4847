"""Dynamic tables: queries whose rows are kept and made anew when they have grown too old."""
