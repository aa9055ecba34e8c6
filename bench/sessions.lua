-- Bodies for POST /ipp/v1/sessions, each with a reference of its own, as orders have. Arguments: ids of devices.
local before, after, head, count, run = {}, "", "", 0, ""

function init(devices)
  math.randomseed(os.time())
  run = string.format("%08d", os.time() % 100000000)
  after = '","order_items":['
    .. '{"type":"physical","reference":"SKU-001","name":"T-Shirt","quantity":2,"unit_price":100000,'
    .. '"total_amount":200000,"tax_rate":2500,"total_tax_amount":40000},'
    .. '{"type":"physical","reference":"SKU-002","name":"Socks","quantity":1,"unit_price":40000,'
    .. '"total_amount":40000,"tax_rate":2500,"total_tax_amount":8000}]}'
  for i, device in ipairs(devices) do
    before[i] = '{"device_id":"' .. device .. '","order_amount":240000,"purchase_currency":"SEK",'
      .. '"purchase_started_at":"2024-01-15T10:30:00Z","order_tax_amount":48000,"merchant_reference1":"'
  end
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  -- Every body has the same length: one head serves them all.
  local body = before[1] .. "ORDER-" .. run .. "-00000000" .. after
  local whole = wrk.format(nil, nil, nil, body)
  head = string.sub(whole, 1, #whole - #body)
end

function request()
  count = count + 1
  return head .. before[math.random(#before)] .. string.format("ORDER-%s-%08d", run, count) .. after
end
