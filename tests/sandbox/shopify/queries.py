"""Every GraphQL query that the tests send, in one place, so that the published schema can judge
them (`test_schema.py`).
"""

MONEY = "shopMoney{amount currencyCode} presentmentMoney{amount currencyCode}"

ORDER = f"""query($id: ID!) {{ order(id: $id) {{
  id legacyResourceId name number email phone test edited createdAt processedAt updatedAt
  cancelledAt cancelReason currencyCode presentmentCurrencyCode displayFinancialStatus
  displayFulfillmentStatus
  totalPriceSet {{ {MONEY} }} currentTotalPriceSet {{ shopMoney {{ amount }} }}
  totalRefundedSet {{ shopMoney {{ amount }} }} netPaymentSet {{ shopMoney {{ amount }} }}
  customer {{ id firstName lastName defaultEmailAddress {{ emailAddress }}
    defaultPhoneNumber {{ phoneNumber }} }}
  billingAddress {{ firstName lastName company address1 city provinceCode zip countryCodeV2 phone }}
  lineItems(first: 50) {{
    nodes {{ id title sku quantity currentQuantity originalUnitPriceSet {{ shopMoney {{ amount }} }}
      discountedTotalSet {{ shopMoney {{ amount }} }} }}
    pageInfo {{ hasNextPage endCursor }} }}
}} }}"""

ORDERS = """query($first: Int, $after: String, $query: String, $reverse: Boolean) {
  orders(first: $first, after: $after, query: $query, reverse: $reverse, sortKey: UPDATED_AT) {
    nodes { id name updatedAt displayFinancialStatus }
    pageInfo { hasNextPage endCursor } } }"""

ORDER_EDGES = "{ orders(first: 3) { edges { cursor node { name customer { firstName } } } } }"
ORDER_NAMES = "query($query: String) { orders(first: 50, query: $query) { nodes { name } } }"
ORDERS_BEFORE = """query($before: String) {
  orders(last: 2, before: $before, sortKey: ID) {
    nodes { name } pageInfo { hasNextPage hasPreviousPage startCursor } } }"""
COUNT = "query($query: String) { ordersCount(query: $query, limit: 2) { count precision } }"
REFUNDS = """query($id: ID!) { order(id: $id) {
  refunds { id note totalRefundedSet { shopMoney { amount } } order { name } } } }"""
SHOP = "{ shop { id name myshopifyDomain currencyCode ianaTimezone plan { publicDisplayName } } }"
INSTALLATION = "{ currentAppInstallation { app { apiKey title } accessScopes { handle } } }"
VERSIONS = "{ publicApiVersions { handle supported } }"
CUSTOMER = """query($id: ID!) { customer(id: $id) {
  id displayName firstName lastName defaultEmailAddress { emailAddress } tags } }"""
CUSTOMERS = """query($query: String) { customers(first: 10, query: $query) {
  nodes { id firstName lastName defaultEmailAddress { emailAddress validFormat } } } }"""
BIG = """{ orders(first: 50) { nodes { lineItems(first: 50) { nodes {
  originalUnitPriceSet { shopMoney { amount } } } } } } }"""
FRAGMENTS = """query { orders(first: 2) { nodes { ...Part ... on Order { customer { id } } } } }
fragment Part on Order { totalPriceSet { shopMoney { amount } } }"""

SUBSCRIBE = """mutation($topic: WebhookSubscriptionTopic!, $to: WebhookSubscriptionInput!) {
  webhookSubscriptionCreate(topic: $topic, webhookSubscription: $to) {
    webhookSubscription { id topic uri format apiVersion { handle } }
    userErrors { field message } } }"""
MOVE = """mutation($id: ID!, $to: WebhookSubscriptionInput!) {
  webhookSubscriptionUpdate(id: $id, webhookSubscription: $to) {
    webhookSubscription { id uri includeFields } userErrors { field message } } }"""
UNSUBSCRIBE = """mutation($id: ID!) { webhookSubscriptionDelete(id: $id) {
  deletedWebhookSubscriptionId userErrors { field message } } }"""
SUBSCRIPTIONS = """query($topics: [WebhookSubscriptionTopic!]) {
  webhookSubscriptions(first: 50, topics: $topics) { nodes { id topic uri } } }"""
SUBSCRIPTION = "query($id: ID!) { webhookSubscription(id: $id) { topic uri } }"
UNINSTALL = "mutation { appUninstall { app { title } userErrors { field message } } }"

EVERY = {name: text for name, text in list(globals().items()) if name.isupper() and name != "MONEY"}
