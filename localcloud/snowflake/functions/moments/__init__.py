"""Functions over dates and timestamps: arithmetic, conversions, time zones."""
