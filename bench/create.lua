-- Bodies for POST /ipp/v1/enrollments, made once and sent in turn. Arguments: the merchant's location ids.
local requests, next_request = {}, 0

function init(locations)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  math.randomseed(os.time())
  for i = 1, 2000 do
    local body = string.format(
      '{"location_id":"%s","expires_in":7200000,"metadata":{"store_id":"%d","register":"%d"}}',
      locations[math.random(#locations)], math.random(100), math.random(20))
    requests[i] = wrk.format(nil, nil, nil, body)
  end
end

function request()
  next_request = next_request % #requests + 1
  return requests[next_request]
end
