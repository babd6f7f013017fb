// Times and money as the server's own filters write them.
const three = (value) => String(Number(value.toPrecision(3)));

export const duration = (us) => {
  const seconds = us / 1e6;
  if (us < 1000) return `${Math.round(us)} µs`;
  if (seconds < 1) return `${three(us / 1000)} ms`;
  if (seconds < 60) return `${three(seconds)} s`;
  const whole = Math.round(seconds);
  const two = (value) => String(value).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
};

export const money = (text) => {
  const value = Number(text);
  if (value === 0) return "$0";
  if (value >= 1) return `$${value.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
  return value < 1e-9 ? "<$0.000000001" : `$${value.toFixed(Math.min(12, 2 - Math.floor(Math.log10(value)))).replace(/0+$/, "").replace(/\.$/, "")}`;
};

export const count = (value) => value.toLocaleString("en");
