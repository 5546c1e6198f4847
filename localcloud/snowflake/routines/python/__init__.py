"""Python in the warehouse: functions and procedures whose handlers run in processes of their own."""
