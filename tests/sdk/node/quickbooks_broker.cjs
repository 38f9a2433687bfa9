// node-quickbooks, unchanged, with a broker's key as its access token: its endpoint is a user's
// address at the broker.
const util = require('node:util')
const QuickBooks = require('node-quickbooks')

const { BASE, KEY, REALM } = process.env

const client = (token) => {
  const qbo = new QuickBooks('none', 'none', token, false, REALM, true, false, 75, '2.0', null)
  qbo.endpoint = `${BASE}/v3/company/`
  return (name, ...rest) => util.promisify(qbo[name]).call(qbo, ...rest)
}

async function walk () {
  const call = client(KEY)
  const customer = await call('createCustomer', { DisplayName: "O'Neil & Sons" })
  const found = await call('findCustomers', { DisplayName: "O'Neil & Sons" })
  const changed = await call('updateCustomer', {
    Id: customer.Id, SyncToken: customer.SyncToken, sparse: true, CompanyName: 'O & S',
  })
  let duplicate = null
  try {
    await call('createCustomer', { DisplayName: "o'neil & sons" })
  } catch (error) {
    duplicate = (error.Fault ?? error.response.data.Fault).Error[0].code
  }
  let wrongKey = null
  try {
    await client('bs_wrong')('getCompanyInfo', REALM)
  } catch (error) {
    wrongKey = error.response?.status ?? error.status
  }
  return {
    found: found.QueryResponse.Customer.map((each) => each.Id === customer.Id),
    company: changed.CompanyName,
    duplicate,
    wrongKey,
  }
}

walk().then(
  (result) => console.log(JSON.stringify(result)),
  (error) => {
    console.error(util.inspect(error.response?.data ?? error, { depth: 6 }))
    process.exit(1)
  },
)
