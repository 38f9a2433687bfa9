// HubSpot's own Node SDK, unchanged, against the base URL and with the token of the environment.
import { Client } from '@hubspot/api-client'

const client = new Client({ accessToken: process.env.TOKEN, basePath: process.env.BASE })
const { crm } = client

const made = await crm.contacts.basicApi.create({
  properties: { email: 'jane@acme.example', firstname: 'Jane' },
  associations: [],
})
await crm.contacts.basicApi.update(made.id, { properties: { firstname: 'Joan' } })
const read = await crm.contacts.basicApi.getById(
  'jane@acme.example', ['firstname'], undefined, undefined, false, 'email',
)
const found = await crm.contacts.searchApi.doSearch({
  filterGroups: [{ filters: [{ propertyName: 'firstname', operator: 'EQ', value: 'joan' }] }],
  limit: 10, properties: ['email'], sorts: [], after: '0',
})
const batch = await crm.contacts.batchApi.create({
  inputs: Array.from({ length: 12 }, (_, n) => ({
    properties: { email: `${n}@acme.example` }, associations: [],
  })),
})
const both = await crm.contacts.batchApi.read({
  inputs: [{ id: made.id }, { id: '999' }], properties: ['email'], propertiesWithHistory: [],
})
const company = await crm.companies.basicApi.create({
  properties: { name: 'Acme' }, associations: [],
})
await crm.associations.v4.basicApi.createDefault('contacts', made.id, 'companies', company.id)
const linked = await crm.associations.v4.basicApi.getPage('contacts', made.id, 'companies')
const property = await crm.properties.coreApi.create('companies', {
  name: 'case_id', label: 'Case', type: 'string', fieldType: 'text',
  groupName: 'companyinformation',
})
const names = (await crm.properties.coreApi.getAll('companies')).results.map((each) => each.name)
const schema = await crm.schemas.coreApi.create({
  name: 'truck',
  labels: { singular: 'Truck', plural: 'Trucks' },
  requiredProperties: ['plate'],
  primaryDisplayProperty: 'plate',
  properties: [{ name: 'plate', label: 'Plate', type: 'string', fieldType: 'text' }],
  associatedObjects: ['CONTACT'],
})
const truck = await crm.objects.basicApi.create(schema.objectTypeId, {
  properties: { plate: 'B-1' }, associations: [],
})
const owners = await crm.owners.ownersApi.getPage()
const everyone = await crm.contacts.getAll()
const raw = await (await client.apiRequest({ path: `/crm/objects/2026-03/contacts/${made.id}` })).json()
let conflict = null
try {
  await crm.contacts.basicApi.create({
    properties: { email: 'jane@acme.example' }, associations: [],
  })
} catch (error) {
  conflict = [error.code, error.body.message]
}
await crm.contacts.basicApi.archive(made.id)

console.log(JSON.stringify({
  read: read.properties.firstname,
  found: found.results.map((each) => each.properties.email),
  batch: batch.results.map((each) => each.id),
  both: [both.results.length, both.numErrors],
  linked: linked.results.map((each) => [each.toObjectId, each.associationTypes.length]),
  property: names.includes(property.name),
  schema: schema.objectTypeId,
  truck: truck.properties.plate,
  owners: owners.results.length,
  everyone: everyone.length,
  raw: raw.properties.email,
  conflict,
}))
