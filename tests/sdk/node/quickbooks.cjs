// node-quickbooks, unchanged, against the sandbox QuickBooks Online of the environment.
const util = require('node:util')
const QuickBooks = require('node-quickbooks')

const { BASE, REALM, REFRESH_TOKEN } = process.env

QuickBooks.TOKEN_URL = `${BASE}/oauth2/v1/tokens/bearer`
QuickBooks.REVOKE_URL = `${BASE}/v2/oauth2/tokens/revoke`
const qbo = new QuickBooks(
  'qbo-client', 'qbo-secret', null, false, REALM, true, false, 75, '2.0', REFRESH_TOKEN,
)
qbo.endpoint = `${BASE}/v3/company/`

const call = (name, ...rest) => util.promisify(qbo[name]).call(qbo, ...rest)
const refusal = async (name, ...rest) => {
  try {
    await call(name, ...rest)
  } catch (error) {
    const fault = error.Fault ?? error.response?.data?.Fault
    return fault ? fault.Error[0].code : error.response?.status
  }
  return null
}

async function walk () {
  await call('refreshAccessToken')
  const company = await call('getCompanyInfo', REALM)
  const customer = await call('createCustomer', { DisplayName: "O'Neil & Sons" })
  const found = await call('findCustomers', [
    { field: 'DisplayName', value: "O'Neil & Sons" }, { field: 'Active', value: true },
  ])
  const none = await call('findCustomers', { DisplayName: '100% nobody' })
  const line = {
    Amount: 99.99,
    DetailType: 'SalesItemLineDetail',
    SalesItemLineDetail: { ItemRef: { value: '2' }, Qty: 3, UnitPrice: 33.33 },
  }
  const sent = () => ({ CustomerRef: { value: customer.Id }, Line: [line], requestId: 'r-1' })
  const invoice = await call('createInvoice', sent())
  const again = await call('createInvoice', sent())
  const duplicate = await refusal('createCustomer', { DisplayName: "o'neil & sons" })
  const changed = await call('updateInvoice', {
    Id: invoice.Id, SyncToken: invoice.SyncToken, PrivateNote: 'hubspot-deal-123',
  })
  const stale = await refusal('updateInvoice', {
    Id: invoice.Id, SyncToken: invoice.SyncToken, PrivateNote: 'x',
  })
  const mailed = await call('sendInvoicePdf', changed.Id, 'neil@x.io')
  const voided = await call('voidInvoice', changed.Id)
  const since = new Date(Date.now() - 3600 * 1000)
  const changes = await call('changeDataCapture', ['Customer', 'Invoice'], since)
  const deleted = await call('deleteInvoice', changed.Id)
  const counted = await call('findInvoices', { count: true })
  await call('revokeAccess', true)
  qbo.realmId = REALM
  const revoked = await refusal('getCompanyInfo', REALM)
  return {
    company: company.CompanyName,
    found: found.QueryResponse.Customer.map((each) => each.DisplayName),
    none: none.QueryResponse.Customer === undefined,
    total: invoice.TotalAmt,
    replayed: again.Id === invoice.Id,
    duplicate,
    stale,
    sent: mailed.EmailStatus ?? mailed.Invoice.EmailStatus,
    voided: voided.Invoice.TotalAmt,
    deleted: deleted.Invoice.status,
    counted: counted.QueryResponse.totalCount,
    changed: changes.CDCResponse[0].QueryResponse.map((each) => Object.keys(each)[0]),
    revoked,
  }
}

walk().then(
  (result) => console.log(JSON.stringify(result)),
  (error) => {
    console.error(util.inspect(error.response?.data ?? error, { depth: 6 }))
    process.exit(1)
  },
)
