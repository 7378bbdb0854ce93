// The client of the npm package bittorrent-tracker, through the life of a download: `node announce.mjs FOLDER URL`.
//
// FOLDER has the package in its node_modules. Two peers of one torrent start, update, complete, stop, and scrape; what
// each is told is written as a line of JSON. Ends with 1, and says why, when a tracker is silent or says no.

import { register } from 'node:module'
import { pathToFileURL } from 'node:url'

const [folder, url] = process.argv.slice(2)
// WebRTC is for trackers over WebSocket: what it is made of is native code that need not be there.
const code = (text) => `data:text/javascript,${encodeURIComponent(text)}`
const nothing = code('export const RTCPeerConnection = null, RTCSessionDescription = null, RTCIceCandidate = null')
register(code(`export const resolve = (name, context, next) => name === 'webrtc-polyfill'
  ? { url: '${nothing}', shortCircuit: true }
  : next(name, context)`))
const { default: Client } = await import(pathToFileURL(`${folder}/node_modules/bittorrent-tracker/client.js`).href)

const infoHash = '5a'.repeat(20)
const other = '0f'.repeat(20)

const fail = (what) => (error) => {
  console.error(`${what}: ${error.message ?? error}`)
  process.exit(1)
}

// A peer at `port`, and the next of what it is told.
function peer (port) {
  const client = new Client({
    infoHash,
    peerId: Buffer.from(`-TT0002-${String(port).padStart(12, '0')}`),
    announce: [url],
    port
  })
  client.on('error', fail(`error of ${port}`))
  client.on('warning', fail(`warning of ${port}`))
  const peers = []
  client.on('peer', (address) => peers.push(address))
  const next = async (event, act) => {
    const told = new Promise((resolve) => client.once(event, resolve))
    act()
    const { complete, incomplete, downloaded } = await told
    // Peers are told of right after what they come with.
    await new Promise((resolve) => setImmediate(resolve))
    return { complete, incomplete, downloaded, peers: peers.splice(0) }
  }
  return { client, next }
}

const say = (what, told) => console.log(JSON.stringify({ what, ...told }))

const seed = peer(4001)
say('seed starts', await seed.next('update', () => seed.client.start({ left: 0 })))
const leech = peer(4002)
say('leech starts', await leech.next('update', () => leech.client.start({ left: 1000 })))
say('leech updates', await leech.next('update', () => leech.client.update({ left: 500, numWant: 7 })))
say('seed updates', await seed.next('update', () => seed.client.update({ left: 0 })))
say('leech completes', await leech.next('update', () => leech.client.complete({ left: 0 })))
say('leech scrapes', await leech.next('scrape', () => leech.client.scrape()))
say('seed stops', await seed.next('update', () => seed.client.stop()))
say('leech updates again', await leech.next('update', () => leech.client.update({ left: 0 })))

// Over UDP it sends the info-hashes of such a scrape as they are given: as bytes, then; over HTTP it wants text.
const given = (hex) => url.startsWith('udp:') ? Buffer.from(hex, 'hex') : hex
const scrape = (infoHash) => new Promise((resolve) => {
  Client.scrape({ announce: url, infoHash }, (error, data) => {
    if (error) fail('scrape')(error)
    resolve(data)
  })
})
say('one is scraped', await scrape(given(infoHash)))
say('two are scraped', { torrents: await scrape([infoHash, other].map(given)) })
seed.client.destroy()
leech.client.destroy()
