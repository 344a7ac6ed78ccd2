//! A put of metrics whose answer is lost: CloudWatch may have taken it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use ledger::{
    metric::{Datum, Sample},
    ports::Metrics,
};
use ledger_aws::CloudWatchMetrics;
use tokio::{io::AsyncReadExt, net::TcpListener};

#[tokio::test]
async fn a_put_whose_answer_was_lost_is_not_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = requests.clone();
    tokio::spawn(async move {
        // Reads the request, and breaks the connection off before it answers.
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut bytes = vec![0; 65_536];
            let _ = connection.read(&mut bytes).await;
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let metrics = CloudWatchMetrics::new(&ledger_aws::sdk_config_at(&url, "us-east-1"));
    let sample = Sample { name: "Events".to_owned(), dimensions: vec![], unit: None, values: vec![(1.0, 1)] };
    let answer = metrics.put(vec![Datum { sample, minute_ms: 1_768_469_400_000 }], 2_000).await;
    assert!(answer.is_err());
    assert_eq!(requests.load(Ordering::SeqCst), 1);
}
