// Ten arrivals a second on the list of groups, for a minute: RATE and DURATION say otherwise. Fails when an answer
// is wrong or slow, not only when there is none. As a new user, or where registration is closed as the one
// of `run --env LOAD_USERNAME --env LOAD_PASSWORD load`.
import http from "k6/http";
import { check, fail } from "k6";

const base = __ENV.BASE_URL;

export const options = {
  scenarios: {
    groups: {
      executor: "constant-arrival-rate",
      rate: Number(__ENV.RATE),
      timeUnit: "1s",
      duration: __ENV.DURATION,
      preAllocatedVUs: 20,
    },
  },
  thresholds: {
    checks: ["rate>0.999"],
    http_req_duration: ["p(95)<200"],
  },
};

export function setup() {
  const username = __ENV.LOAD_USERNAME || `load-${Date.now()}`;
  const password = __ENV.LOAD_PASSWORD || `${username}1a`;
  const credentials = JSON.stringify({ username, password });
  const json = { headers: { "Content-Type": "application/json" } };
  if (!__ENV.LOAD_USERNAME) {
    http.post(`${base}/api/auth/register`, credentials, json);
  }
  const token = http.post(`${base}/api/auth/login`, credentials, json).json("token");
  if (!token) {
    fail("log-in gave no token");
  }
  return token;
}

export default function (token) {
  const answer = http.get(`${base}/api/groups`, { headers: { Authorization: `Bearer ${token}` } });
  check(answer, { "is a list of groups": (r) => r.status === 200 && Array.isArray(r.json("groups")) });
}
