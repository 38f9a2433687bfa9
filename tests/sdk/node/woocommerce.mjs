// WooCommerce's own Node library, unchanged, against the sandbox WooCommerce at BASE. Over plain
// HTTP it signs by OAuth 1.0a.
import WooCommerceRestApi from '@woocommerce/woocommerce-rest-api'

const { BASE, KEY, SECRET } = process.env
const client = (secret) => new WooCommerceRestApi.default({
  url: BASE, consumerKey: KEY, consumerSecret: secret, version: 'wc/v3',
})
const api = client(SECRET)
const out = {}
const refusal = async (work) => {
  try {
    await work()
    return null
  } catch (error) {
    return [error.response.status, error.response.data.code]
  }
}

out.wrongSecret = await refusal(() => client('cs_wrong').get('orders'))
const made = await api.post('orders', { line_items: [{ name: 'Mug', quantity: 1, total: '9.00' }] })
out.made = [made.status, made.data.status, made.data.total]
await api.put(`orders/${made.data.id}`, { status: 'completed' })
const page = await api.get('orders', { per_page: 1, page: 2, orderby: 'modified', order: 'asc' })
out.page = [page.data.length, page.headers['x-wp-total'], page.headers['x-wp-totalpages']]
out.read = (await api.get(`orders/${made.data.id}`)).data.status
await api.post(`orders/${made.data.id}/refunds`, { amount: '9.00' })
out.refunds = (await api.get(`orders/${made.data.id}/refunds`)).data.map((each) => each.amount)
out.missing = await refusal(() => api.get('orders/1'))
out.invalid = await refusal(() => api.get('orders', { per_page: 101 }))
const hook = await api.post('webhooks', { topic: 'order.created', delivery_url: 'http://localhost:9' })
out.hook = [hook.status, hook.data.topic]
out.deleted = (await api.delete(`webhooks/${hook.data.id}`, { force: true })).status

console.log(JSON.stringify(out))
