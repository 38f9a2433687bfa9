// Shopify's own Node libraries, unchanged, against the sandbox Shopify at BASE: the whole way from
// an install link to a verified webhook. https://{shop} is rewritten to BASE, with the shop in the
// path instead of the host.
import { createServer } from 'node:http'
import { createAdminApiClient } from '@shopify/admin-api-client'
import { DeliveryMethod, LogSeverity, shopifyApi } from '@shopify/shopify-api'
import '@shopify/shopify-api/adapters/web-api'
import { setAbstractFetchFunc } from '@shopify/shopify-api/runtime'

const { BASE, CLIENT, SECRET, ORDER, QUERY } = process.env
const shop = 'acme.myshopify.com'
const local = (url) => String(url).replace(/^https:\/\/([^/]+\.myshopify\.com)/, `${BASE}/shops/$1`)
setAbstractFetchFunc((url, options) => fetch(local(url), options))

const shopify = shopifyApi({
  apiKey: CLIENT,
  apiSecretKey: SECRET,
  scopes: ['read_orders', 'read_customers'],
  hostName: 'product.example',
  apiVersion: '2026-10',
  isEmbeddedApp: false,
  logger: { level: LogSeverity.Error },
})
const out = {}
const refusal = async (work) => {
  try {
    await work()
    return null
  } catch (error) {
    return error.response?.code ?? error.response?.status ?? error.constructor.name
  }
}

// Install, with the library's own check of the callback.
const begun = await shopify.auth.begin({
  shop,
  callbackPath: '/callback',
  isOnline: false,
  rawRequest: new Request('https://product.example/auth'),
})
const cookie = begun.headers.getSetCookie().map((each) => each.split(';')[0]).join('; ')
const consented = await fetch(local(begun.headers.get('location')), { redirect: 'manual' })
const returned = consented.headers.get('location')
const arrives = (url) => shopify.auth.callback({
  expiring: true,
  rawRequest: new Request(url, { headers: { cookie } }),
})
out.tampered = await refusal(() => arrives(returned.replace('acme', 'evil')))
const { session } = await arrives(returned)
out.installed = [session.shop, session.scope, Boolean(session.refreshToken)]
out.usedCode = await refusal(() => arrives(returned))

// Refresh, and the token that no longer works.
const renewed = (await shopify.auth.refreshToken({ shop, refreshToken: session.refreshToken })).session
out.renewed = renewed.accessToken !== session.accessToken
const next = (await shopify.auth.refreshToken({ shop, refreshToken: renewed.refreshToken })).session
out.usedRefresh = await refusal(
  () => shopify.auth.refreshToken({ shop, refreshToken: session.refreshToken }),
)
out.clientCredentials = Boolean((await shopify.auth.clientCredentials({ shop })).session.accessToken)

// The order, by both clients.
const graphql = new shopify.clients.Graphql({ session: next })
out.bySdk = (await graphql.request(QUERY, { variables: { id: ORDER } })).data.order.name
const client = createAdminApiClient({
  storeDomain: shop,
  apiVersion: '2026-10',
  accessToken: next.accessToken,
  customFetchApi: (url, options) => fetch(local(url), options),
})
const answered = await client.request(QUERY, { variables: { id: ORDER } })
out.byClient = [answered.data.order.name, answered.extensions.cost.actualQueryCost > 0]
const wrong = createAdminApiClient({
  storeDomain: shop,
  apiVersion: '2026-10',
  accessToken: 'shpat_wrong',
  customFetchApi: (url, options) => fetch(local(url), options),
})
out.wrongToken = (await wrong.request('{ shop { name } }')).errors.networkStatusCode
const unknown = await client.request('{ shop { nope } }')
out.unknownField = unknown.errors.graphQLErrors[0].extensions.code

// A webhook, registered and verified by the library.
const arrived = []
const server = createServer((request, response) => {
  let body = ''
  request.setEncoding('utf8').on('data', (part) => { body += part }).on('end', () => {
    arrived.push({ headers: request.headers, body })
    response.end()
  })
})
await new Promise((done) => { server.listen(0, '127.0.0.1', done) })
shopify.webhooks.addHandlers({
  ORDERS_CREATE: [{
    deliveryMethod: DeliveryMethod.Http,
    callbackUrl: `http://127.0.0.1:${server.address().port}/hook`,
  }],
})
const registered = await shopify.webhooks.register({ session: next })
out.registered = registered.ORDERS_CREATE.map((each) => each.success)
await fetch(`${BASE}/_sandbox/shops/acme/orders`, { method: 'POST', body: '{}' })
for (let tries = 0; arrived.length === 0 && tries < 500; tries += 1) {
  await new Promise((done) => { setTimeout(done, 10) })
}
server.close()
const verifies = (body) => shopify.webhooks.validate({
  rawBody: body,
  rawRequest: new Request('https://product.example/hook', {
    method: 'POST',
    headers: arrived[0].headers,
    body,
  }),
})
const good = await verifies(arrived[0].body)
out.webhook = [good.valid, good.topic, good.domain, Boolean(good.eventId)]
out.changedWebhook = (await verifies(`${arrived[0].body} `)).valid

console.log(JSON.stringify(out))
