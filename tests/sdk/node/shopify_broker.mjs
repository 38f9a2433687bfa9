// Shopify's Admin API client, unchanged, with a broker's key as the shop's token: https://{shop} is
// rewritten to BASE, a user's address at the broker.
import { createAdminApiClient } from '@shopify/admin-api-client'

const { BASE, KEY, ORDER, QUERY } = process.env
const client = (accessToken) => createAdminApiClient({
  storeDomain: 'acme.myshopify.com',
  apiVersion: '2026-10',
  accessToken,
  customFetchApi: (url, options) => fetch(
    String(url).replace(/^https:\/\/acme\.myshopify\.com/, BASE), options,
  ),
})
const out = {}
const found = await client(KEY).request(QUERY, { variables: { id: ORDER } })
out.order = [found.data.order.name, found.extensions.cost.actualQueryCost > 0]
out.unknownField = (await client(KEY).request('{ shop { nope } }')).errors.graphQLErrors[0].extensions.code
out.wrongKey = (await client('bs_wrong').request('{ shop { name } }')).errors.networkStatusCode
console.log(JSON.stringify(out))
