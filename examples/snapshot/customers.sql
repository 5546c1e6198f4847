-- One row for each customer, as the table is now. The label's column is left out: a model must not know what it predicts.
-- Left out, too: cancel_reason, which is filled once a customer has left (see README.md).
SELECT
    customer_id,
    DATEDIFF('day', signup_date, :as_of) AS signup_age_days,
    tenure_months,
    senior,
    contract,
    internet,
    payment,
    region,
    support_calls,
    monthly_charges,
    total_charges
FROM customers
