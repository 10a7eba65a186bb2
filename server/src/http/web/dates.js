// Further dates of an event: a rule or a list of days, looked at first and then made. Sent again after a lost answer, a
// request carries the key that it had: its dates are made once.
'use strict';

const TEXTS = {
  back: ['Back to the event', 'Zurück zur Veranstaltung', 'Volver al evento', 'Retour à l’événement'],
  more: ['Further dates', 'Weitere Termine', 'Más fechas', 'Autres dates'],
  loading: ['Loading …', 'Wird geladen …', 'Cargando …', 'Chargement …'],
  why: [
    'Each date becomes a draft with everything that is set up here; only bookings, devices and stewards stay behind. Clocks at the venue show {0} on every date.',
    'Jeder Termin wird ein Entwurf mit allem, was hier eingerichtet ist; nur Buchungen, Geräte und Ordner bleiben zurück. Die Uhr am Ort zeigt an jedem Termin {0}.',
    'Cada fecha será un borrador con todo lo configurado aquí; solo se quedan las reservas, los dispositivos y el personal. El reloj del lugar marcará las {0} en cada fecha.',
    'Chaque date devient un brouillon avec tout ce qui est réglé ici ; seuls restent les réservations, les appareils et le personnel. L’horloge sur place indique {0} à chaque date.'],
  'frequency-label': ['Which dates', 'Welche Termine', 'Qué fechas', 'Quelles dates'],
  daily: ['Daily', 'Täglich', 'Cada día', 'Chaque jour'],
  weekly: ['Weekly', 'Wöchentlich', 'Cada semana', 'Chaque semaine'],
  monthly: ['Monthly, on the same day', 'Monatlich, am gleichen Tag', 'Cada mes, el mismo día', 'Chaque mois, le même jour'],
  single: ['Single days', 'Einzelne Tage', 'Días sueltos', 'Jours choisis'],
  'interval-label': ['Every so many days, weeks or months', 'Alle so viele Tage, Wochen oder Monate', 'Cada cuántos días, semanas o meses', 'Tous les combien de jours, semaines ou mois'],
  'days-label': ['On', 'Am', 'Los', 'Le'],
  'count-label': ['How many dates, this one included', 'Wie viele Termine, mit diesem', 'Cuántas fechas, incluida esta', 'Combien de dates, celle-ci comprise'],
  'until-label': ['Or until which day', 'Oder bis zu welchem Tag', 'O hasta qué día', 'Ou jusqu’à quel jour'],
  'dates-label': ['Days, one a line', 'Tage, einer je Zeile', 'Días, uno por línea', 'Jours, un par ligne'],
  'dates-why': ['As 2027-01-31, or with another time as 2027-01-31T15:00', 'Wie 2027-01-31, oder mit anderer Uhrzeit wie 2027-01-31T15:00', 'Como 2027-01-31, o con otra hora como 2027-01-31T15:00', 'Comme 2027-01-31, ou à une autre heure comme 2027-01-31T15:00'],
  'codes-label': ['Promo codes too, unused', 'Auch die Rabattcodes, ungenutzt', 'También los códigos, sin usar', 'Les codes aussi, inutilisés'],
  look: ['Show the dates', 'Termine zeigen', 'Mostrar las fechas', 'Montrer les dates'],
  planned: ['These dates would be new: {0}', 'Neue Termine wären das: {0}', 'Serían fechas nuevas: {0}', 'Nouvelles dates : {0}'],
  made: ['Made: {0}', 'Angelegt: {0}', 'Creadas: {0}', 'Créées : {0}'],
  there: ['is there already', 'gibt es schon', 'ya existe', 'existe déjà'],
  draft: ['draft', 'Entwurf', 'borrador', 'brouillon'],
  make: ['Make them all', 'Alle anlegen', 'Crearlas todas', 'Les créer toutes'],
  signed_out: ['Please sign in: go back to the event.', 'Bitte melden Sie sich an: zurück zur Veranstaltung.', 'Inicie sesión: vuelva al evento.', 'Connectez-vous : retour à l’événement.'],
  not_yours: ['There is no such event, or you may not change it.', 'Diese Veranstaltung gibt es nicht, oder Sie dürfen sie nicht ändern.', 'Este evento no existe o no puede cambiarlo.', 'Cet événement n’existe pas ou vous ne pouvez pas le modifier.'],
  nothing_new: ['All of these dates are there already.', 'Diese Termine gibt es schon alle.', 'Todas estas fechas ya existen.', 'Toutes ces dates existent déjà.'],
  not_so: ['The server did not take this: {0}', 'Der Server hat das nicht angenommen: {0}', 'El servidor no aceptó esto: {0}', 'Le serveur n’a pas accepté : {0}'],
  no_network: ['No answer. Send it again when there is a network: nothing is made twice.', 'Keine Antwort. Schicken Sie es noch einmal ab, sobald es ein Netz gibt: Nichts wird doppelt angelegt.', 'Sin respuesta. Envíelo de nuevo cuando haya red: nada se creará dos veces.', 'Pas de réponse. Renvoyez quand il y aura du réseau : rien ne sera créé deux fois.'],
  failed: ['That did not work. Please try again in a moment.', 'Das hat nicht geklappt. Bitte versuchen Sie es gleich noch einmal.', 'No funcionó. Inténtelo de nuevo en un momento.', 'Cela n’a pas marché. Veuillez réessayer dans un instant.'],
};

const eventId = location.pathname.split('/')[4] ?? '';
const DAYS = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'];
/** A Monday. */
const MONDAY = Date.UTC(2024, 0, 1);

let event = null;
let headers = {};
let notice = 'loading';
/** What was answered last, and for which request. */
let plan = null;
let attempt = null;

const zoned = (how) => { try { return new Intl.DateTimeFormat(locale(), { ...how, timeZone: event.time_zone }); } catch { return new Intl.DateTimeFormat(locale(), how); } };
const dayName = (n) => new Intl.DateTimeFormat(locale(), { weekday: 'long', timeZone: 'UTC' }).format(new Date(MONDAY + n * 86_400_000));
const checked = () => DAYS.filter((day) => at(`day-${day}`)?.checked);

function render() {
  words('back', 'frequency-label', 'interval-label', 'days-label', 'count-label', 'until-label', 'dates-label', 'dates-why', 'codes-label', 'look', 'make');
  at('back').href = `/web/organizer/events/${eventId}`;
  at('title').textContent = event ? `${event.title}: ${say('more')}` : 'HVFLVSPOT';
  document.title = at('title').textContent;
  at('notice').hidden = !notice;
  at('notice').textContent = notice ? say(notice) : '';
  at('retry').hidden = !['failed', 'no_network', 'too_many'].includes(notice);
  at('form').hidden = !event;
  at('plan').hidden = !plan;
  if (!event) return;
  at('why').textContent = say('why', zoned({ hour: '2-digit', minute: '2-digit' }).format(new Date(event.starts_at)));
  const chosen = at('frequency').value || 'weekly';
  at('frequency').replaceChildren(...['weekly', 'daily', 'monthly', 'single'].map((key) => new Option(say(key), key, false, key === chosen)));
  at('repeated').hidden = chosen === 'single';
  at('single').hidden = chosen !== 'single';
  at('days').hidden = chosen !== 'weekly';
  const kept = checked();
  at('weekdays').replaceChildren(...DAYS.map((day, n) => {
    const [label, box] = [make('label', undefined, 'tick'), make('input')];
    box.type = 'checkbox';
    box.id = `day-${day}`;
    box.checked = kept.includes(day);
    label.append(box, ' ', dayName(n));
    return label;
  }));
  if (plan) drawPlan();
}

function drawPlan() {
  const fresh = plan.dates.filter((date) => !date.there).length;
  at('plan-title').textContent = say(plan.made ? 'made' : 'planned', fresh);
  at('list').replaceChildren(...plan.dates.map((date) => {
    const made = make('li');
    const when = moment(date.starts_at, event.time_zone);
    if (date.event_id) {
      const link = make('a', when);
      link.href = `/web/organizer/events/${date.event_id}`;
      made.append(link);
    } else {
      made.append(when);
    }
    if (date.there || plan.made) made.append(make('span', say(date.there ? 'there' : 'draft'), 'quiet'));
    return made;
  }));
  at('make').hidden = plan.made;
}

function wish() {
  const frequency = at('frequency').value;
  const wanted = { promo_codes: at('codes').checked };
  if (frequency === 'single') return { ...wanted, dates: at('dates').value.split(/\s+/).filter(Boolean) };
  const weekdays = frequency === 'weekly' && checked().length ? { weekdays: checked() } : {};
  const end = at('until').value ? { until: at('until').value } : { count: Number(at('count').value) };
  return { ...wanted, rule: { frequency, interval: Number(at('interval').value), ...weekdays, ...end } };
}

function trouble(answer) {
  const errors = answer.told.errors ?? [];
  if (answer.status === 0) return ['no_network'];
  if (answer.status === 429) return ['too_many'];
  if (answer.status === 401 || answer.code === 'totp_required') return ['signed_out'];
  if (answer.status === 403 || answer.status === 404) return ['not_yours'];
  if (answer.code === 'event_canceled') return ['event_canceled'];
  if (errors.some((e) => e.code === 'nothing_new')) return ['nothing_new'];
  if (answer.status === 422) return ['not_so', errors.map((e) => e.message).filter(Boolean).join('; ') || answer.told.detail];
  return ['failed'];
}

async function look() {
  const wanted = wish();
  const answer = await call('POST', `/organizer/events/${eventId}/series`, { body: { ...wanted, dry_run: true }, headers });
  plan = answer.ok ? { ...answer.told, made: false, wanted } : null;
  render();
  if (!answer.ok) at('wrong').textContent = say(...trouble(answer));
}

async function create() {
  const { wanted } = plan;
  // The same wish without an answer is the same request.
  const same = JSON.stringify(wanted);
  if (attempt?.same !== same) attempt = { same, key: newKey() };
  const answer = await call('POST', `/organizer/events/${eventId}/series`, { body: wanted, headers: { ...headers, 'Idempotency-Key': attempt.key } });
  if (answer.status !== 0 && answer.status < 500 && answer.code !== 'request_in_flight') attempt = null;
  if (answer.ok) plan = { ...answer.told, made: true, wanted };
  render();
  if (!answer.ok) at('wrong').textContent = say(...trouble(answer));
  else at('plan').scrollIntoView();
}

/** The event may be of any of one's organizers. */
async function start() {
  notice = 'loading';
  render();
  const who = await call('GET', '/auth/verify');
  let answer = who;
  for (const { organizer_id } of who.ok ? who.told.organizers ?? [] : []) {
    headers = { 'Organizer-Id': organizer_id };
    answer = await call('GET', `/organizer/events/${eventId}`, { headers });
    if (answer.ok || answer.status !== 404) break;
  }
  event = answer.ok && answer.told.event_id ? answer.told : null;
  [notice] = event ? [null] : answer.ok ? ['not_yours'] : trouble(answer);
  render();
}

at('form').addEventListener('submit', during(look));
at('frequency').addEventListener('change', render);
at('make').addEventListener('click', during(create));
at('retry').addEventListener('click', during(start));
start();
