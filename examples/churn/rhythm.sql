-- How regularly a customer orders: the gaps between orders, by a window function.
-- `orders` is the source of that name, already cut at :as_of.
WITH gaps AS (
    SELECT
        customer_id,
        DATEDIFF('day', LAG(order_date) OVER (PARTITION BY customer_id ORDER BY order_date, order_id), order_date) AS gap
    FROM orders
)
SELECT
    customer_id,
    AVG(gap)::FLOAT AS average_gap_days,
    MAX(gap) AS longest_gap_days,
    STDDEV(gap)::FLOAT AS gap_deviation_days
FROM gaps
GROUP BY customer_id
