"""What one session and one account hold: identity, current objects, connection, transaction, history."""
