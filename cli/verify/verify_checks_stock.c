// Goods neither appear nor vanish.
#include "cli/verify/verify_checks.h"
#include "common/mem.h"

const struct verify_check verify_checks_stock[] = {
    {
        .name = "stock-adds-up",
        .sentence = "initial + restocked = available + reserved + sold, and nothing is negative",
        .noun = VERIFY_PRODUCTS,
        .sql = "SELECT NULL, sku || ': ' || initial || ' initial + ' || restocked ||"
               "  ' restocked, but ' || available || ' available + ' || reserved ||"
               "  ' reserved + ' || sold || ' sold'"
               " FROM stock WHERE initial + restocked <> available + reserved + sold"
               "  OR min(initial, restocked, available, reserved, sold) < 0",
    },
    {
        .name = "stock-matches-the-orders",
        .sentence = "what is reserved and sold is what the orders' reservations have",
        .noun = VERIFY_PRODUCTS,
        .sql = "SELECT NULL, coalesce(s.sku, h.sku) || ': ' || coalesce(s.reserved, 0) ||"
               "  ' reserved and ' || coalesce(s.sold, 0) || ' sold, but the orders have ' ||"
               "  coalesce(h.reserved, 0) || ' and ' || coalesce(h.sold, 0)"
               " FROM stock s FULL JOIN (SELECT json_extract(value, '$.sku') AS sku,"
               "   sum(iif(status = 'reserved', json_extract(value, '$.quantity'), 0)) AS reserved,"
               "   sum(iif(status = 'sold', json_extract(value, '$.quantity'), 0)) AS sold"
               "  FROM reservations, json_each(iif(json_valid(items), items, '[]'))"
               "  WHERE status IN ('reserved', 'sold') GROUP BY 1) h ON h.sku = s.sku"
               " WHERE coalesce(s.reserved, 0) <> coalesce(h.reserved, 0)"
               "  OR coalesce(s.sold, 0) <> coalesce(h.sold, 0)",
    },
    {
        .name = "goods-are-what-was-ordered",
        .sentence = "what is reserved and sold for an order is what it has ordered",
        .noun = VERIFY_GOODS,
        // A reservation that was stopped before it was made has no items.
        .sql = "SELECT order_id, 'it has ordered ' || ordered || ', and inventory has ' || has"
               " FROM (SELECT o.order_id, iif(json_valid(r.items), json(r.items),"
               "    'something that is no JSON') AS has,"
               "   (SELECT json_group_array(json_object('sku', json_extract(value, '$.sku'),"
               "     'quantity', json_extract(value, '$.quantity')))"
               "    FROM json_each(iif(json_valid(o.items), o.items, '[]'))) AS ordered"
               "  FROM orders o JOIN reservations r ON r.order_id = o.order_id"
               "  WHERE r.status IN ('reserved', 'sold') OR r.items <> '[]')"
               " WHERE ordered <> has",
    },
};

const size_t verify_checks_stock_count = ARRAY_LEN(verify_checks_stock);
